"""Tests of what is written: figures.py and table.py on raw results that are made up, errors in raw results. `bench/run_all --check`."""

import unittest

from environment import ROOT
from figures import Figure, Results, fitted
from measure import said
from plan import GROUPS, SLOW_SIDE, Sizes, chosen, jobs
from shape import SHAPES, decode_gflop, needed_gflop, step_gflop, to_whole_depth
from table import document, rows

REPORT = {
    "dtype": "f32", "image_tokens": 1024, "context_tokens": 1241, "product_gflops_per_second": 90.0, "attention_gflops_per_second": 60.0,
    "gemm_gflops_per_second": 100.0,
}  # fmt: skip
STEP = {"group": "step-f32", "what": "step", "subject": "flux", "variant": "f32", "side": 512, "context": 1241}


def record(program, wall, processor, **more):
    return {**STEP, "program": program, "wall": wall, "processor": processor, "others_cores": 0.0, "peak_mib": 2048, "round": 0,
            "load_before": [0.5, 0.5, 0.5], **more}  # fmt: skip


def raw(*records):
    machine = {"processor": "A processor", "flags": ["avx2"], "cores": 2, "memory_gib": 23.0, "system": "Linux", "versions": {"torch": "1"},
               "commit": "0123", "changed_files": 0}  # fmt: skip
    return {"started": "2026-01-01T00:00:00", "machine": machine, "threads": 2, "rounds": 1, "quick": True, "tiny": False, "missing": {}, "seconds": 60,
            "records": list(records)}  # fmt: skip


def only(found, what):
    [row] = [row for row in found if row.what == what]
    return row


class Figures(unittest.TestCase):
    def test_quiet_samples_alone_count(self):
        samples = [record("diffusers", [5.0], [10.0]), record("diffusers", [9.0], [14.0], others_cores=0.9)]
        figure = Figure(samples, 2)
        self.assertEqual((figure.seconds, figure.wall, figure.quiet, figure.count), (5.0, 5.0, 1, 2))
        self.assertEqual(Figure(samples[1:], 2).seconds, 7.0)

    def test_medians_go_over_rounds(self):
        figure = Figure([record("diffusers", [5.0, 6.0], [10.0, 12.0]), record("diffusers", [7.0], [30.0])], 2)
        self.assertEqual((figure.seconds, figure.wall), (6.0, 6.0))

    def test_a_curve_is_found_again(self):
        points = [(n, 0.25 + 2e-3 * n + 3e-7 * n * n) for n in (768, 2265, 5337, 17625)]
        for found, wanted in zip(fitted(points), (0.25, 2e-3, 3e-7)):
            self.assertAlmostEqual(found / wanted, 1.0, places=6)
        self.assertIsNone(fitted(points[:2]))

    def test_operations_are_those_of_the_reference(self):
        flux = SHAPES["flux"]
        # What stable-diffusion.cpp and torch's profiler count: shared figures of the slice and of FLUX's VAE.
        self.assertAlmostEqual(step_gflop(flux, 256, 256), 715, delta=1)
        self.assertAlmostEqual(decode_gflop(512), 2515, delta=1)
        self.assertLess(needed_gflop(flux, 512, 1024), step_gflop(flux, 512, 1024))
        self.assertTrue(1.02 < to_whole_depth(flux, 512, 1024) < 1.08)


class Table(unittest.TestCase):
    def test_a_step_that_is_quick_enough(self):
        found = rows(Results(raw(record("afterimage", [7.0], [14.0], report=REPORT), record("diffusers", [10.0], [20.0]))))
        row = only(found, "step, f32")
        self.assertTrue(row.met())
        self.assertAlmostEqual(row.ratio, 0.7 * to_whole_depth(SHAPES["flux"], 1241, 1024))

    def test_a_missed_row_says_where_its_time_goes(self):
        text = document(raw(record("afterimage", [45.0], [90.0], report=REPORT), record("diffusers", [30.0], [60.0])), "x.json")
        self.assertIn("| **no** |", text)
        self.assertIn("## Where the missed rows spend their time", text)
        self.assertIn("products 31.9 s at 90 GFLOP/s (90 % of", text)

    def test_a_faster_peer_becomes_the_bar(self):
        samples = [record("afterimage", [7.0], [14.0], report=REPORT), record("diffusers", [10.0], [20.0]), record("openvino", [8.0], [16.0])]
        found = rows(Results(raw(*samples)))
        self.assertTrue(only(found, "step, f32").met())
        self.assertFalse(only(found, "step, f32 (the faster peer)").met())
        slower = rows(Results(raw(*samples[:2], record("openvino", [12.0], [24.0]))))
        self.assertEqual([row.target for row in slower if row.what == "step, f32"], [0.81, None])

    def test_a_peer_that_was_too_slow_is_an_estimate(self):
        skipped = {**STEP, "program": "diffusers", "skipped": True, "expected_seconds": 400.0, "round": 0}
        row = only(rows(Results(raw(record("afterimage", [7.0], [14.0], report=REPORT), skipped))), "step, f32")
        self.assertIn("not run, about 400 s", row.theirs)
        self.assertTrue(row.met() and row.cells()[4].startswith("about 0.0"))

    def test_a_peer_that_failed_leaves_its_row_open(self):
        failed = {**STEP, "program": "diffusers", "error": "no torch", "round": 0}
        row = only(rows(Results(raw(record("afterimage", [7.0], [14.0], report=REPORT), failed))), "step, f32")
        self.assertEqual((row.met(), row.cells()[3:5]), (None, ["diffusers: failed", "–"]))

    def test_zeros_are_compared_with_the_whole_step(self):
        samples = [record("afterimage", [5.0], [10.0], spared=511, report=REPORT), record("diffusers", [10.0], [20.0])]
        row = only(rows(Results(raw(*samples))), "step, f32, empty prompt of zeros")
        self.assertAlmostEqual(row.ratio, 0.5 * to_whole_depth(SHAPES["flux"], 730, 1024))

    def test_ceilings_are_shares_of_the_measured_peak(self):
        peak = {"group": "peak", "program": "peak", "what": "peak", "peak": {"clock_ghz": 3.0, "threads": 2, "f32": {"all": 120.0, "instruction": "x"},
                "bf16": None, "int8": {"all": 240.0, "instruction": "y"}}}  # fmt: skip
        found = rows(Results(raw(peak, record("afterimage", [7.0], [14.0], variant="bf16", report=REPORT))))
        row = only(found, "matrix products, bf16, in f32 arithmetic")
        self.assertEqual((row.ratio, row.met()), (0.75, False))
        self.assertEqual(only(found, "attention, bf16, in f32 arithmetic").ratio, 0.5)

    def test_memory_and_decode_and_vary_have_rows(self):
        decode = {"what": "decode", "subject": "vae", "context": 0}
        vary = {"what": "vary", "subject": None, "context": 0}
        records = [record("afterimage", [7.0], [14.0], peak_mib=1024, report=REPORT, **decode), record("diffusers", [14.0], [28.0], **decode),
                   record("afterimage", [2.0], [4.0], **{**vary, "variant": "auto"}), record("diffusers", [9.0], [14.0], **vary)]  # fmt: skip
        found = rows(Results(raw(*records)))
        self.assertEqual(only(found, "VAE decode, f32").ratio, 0.5)
        self.assertEqual(only(found, "peak memory of a decode, f32").ratio, 0.5)
        self.assertAlmostEqual(only(found, "whole `vary`, demo model, auto").ratio, 2 / 9)

    def test_growth_is_printed(self):
        points = [record("afterimage", [1.0], [2 * (0.1 + 1e-3 * n)], what="growth", side=side, variant="auto", report=REPORT)
                  for side, n in ((256, 1497), (512, 2265), (1024, 5337))]  # fmt: skip
        self.assertIn("Seconds of n tokens ≈ 0.1 + 0.001·n + ", document(raw(*points), "x.json"))


class Plan(unittest.TestCase):
    def test_every_group_has_jobs_and_every_rival_a_turn(self):
        planned = list(jobs(Sizes()))
        self.assertEqual({job["group"] for job in planned}, set(GROUPS))
        steps = [job["program"] for job in planned if job["group"] == "gguf"]
        self.assertEqual(set(steps), {"afterimage", "sdcpp"})

    def test_large_sizes_run_once(self):
        second = list(chosen(Sizes(), None, [], 1))
        self.assertTrue(second and all(side < SLOW_SIDE for job in second for side, _ in job["cases"]))
        self.assertEqual({job["program"] for job in chosen(Sizes(), ["step-f32"], ["openvino"], 0)}, {"afterimage", "diffusers"})


class Errors(unittest.TestCase):
    def test_folders_of_the_machine_are_not_told(self):
        text = said(RuntimeError(f"no {ROOT}/docs, no /elsewhere/work/venv, no other"), "/elsewhere/work")
        self.assertEqual(text, "no PROJECT/docs, no WORK/venv, no other")


if __name__ == "__main__":
    unittest.main()
