"""From raw records to figures: medians of undisturbed samples, and the curve of cost. Standard library only."""

import statistics

# Cores that others may use in a sample that counts.
BUSY = 0.15


class Figure:
    """What some samples of one case say. `seconds` is what undisturbed cores take: processor seconds by threads, the median.

    Threads that wait sleep, so processor time is work: it repeats within a few percent where wall time says who else was there.
    Samples of quiet spells alone count where there are any.
    """

    def __init__(self, records, threads):
        self.records = [record for record in records if "wall" in record]
        samples = [(wall, processor, record["others_cores"]) for record in self.records for wall, processor in pairs(record)]
        quiet = [sample for sample in samples if sample[2] <= BUSY]
        self.count, self.quiet = len(samples), len(quiet)
        used = quiet or samples
        self.seconds = statistics.median(processor for _, processor, _ in used) / threads if used else None
        self.wall = statistics.median(wall for wall, _, _ in used) if used else None
        self.peak_mib = max((record.get("peak_mib") or 0 for record in self.records), default=0) or None
        lost = [record["expected_seconds"] for record in records if record.get("skipped")]
        self.expected = statistics.median(lost) if lost and not used else None
        errors = [record["error"] for record in records if "error" in record]
        self.error = errors[0] if errors and not used else None

    def report(self):
        """A report of `afterimage bench`, the last one."""
        return next((record["report"] for record in reversed(self.records) if "report" in record), None)


def pairs(record):
    """(wall seconds, processor seconds) of each sample; where one of them is told once, it stands for all."""
    wall, processor = record["wall"], record["processor"]
    if len(wall) == len(processor):
        return list(zip(wall, processor))
    return [(statistics.median(wall), statistics.median(processor))]


class Results:
    """Looks figures up in what measure.py wrote."""

    def __init__(self, raw):
        self.raw, self.records, self.threads = raw, raw["records"], raw["threads"]

    def figure(self, **wanted):
        """Of the records with these values; `spared` is 0 unless it is named."""
        wanted = {"spared": 0, **wanted}
        has = lambda record: all(record.get(name, 0 if name == "spared" else None) == value for name, value in wanted.items())  # noqa: E731
        return Figure([record for record in self.records if has(record)], self.threads)

    def cases(self, **wanted):
        """[(side, context)] that there are records of, in order."""
        has = lambda record: all(record.get(name) == value for name, value in wanted.items())  # noqa: E731
        return sorted({(record["side"], record.get("context", 0)) for record in self.records if "side" in record and has(record)})

    def peak(self):
        """What peak.c printed, or None."""
        return next((record["peak"] for record in self.records if "peak" in record), None)

    def reports(self):
        """All reports of `afterimage bench`, with their records."""
        return [(record, record["report"]) for record in self.records if "report" in record]


def fitted(points):
    """(a, b, c) of a + b·n + c·n² through (n, seconds), by least squares of the relative errors; None with fewer than three."""
    if len({n for n, _ in points}) < 3:
        return None
    unit = max(n for n, _ in points)
    rows = [([1 / y, n / unit / y, (n / unit) ** 2 / y], 1.0) for n, y in points]
    matrix = [[sum(row[i] * row[j] for row, _ in rows) for j in range(3)] + [sum(row[i] * one for row, one in rows)] for i in range(3)]
    for i in range(3):
        pivot = max(range(i, 3), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        for k in range(3):
            if k != i:
                factor = matrix[k][i] / matrix[i][i]
                matrix[k] = [x - factor * y for x, y in zip(matrix[k], matrix[i])]
    a, b, c = (matrix[i][3] / matrix[i][i] for i in range(3))
    return a, b / unit, c / unit**2
