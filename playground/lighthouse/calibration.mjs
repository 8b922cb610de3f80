// How much slower than this machine the phone of a measurement is.
//
// Lighthouse takes the machine for a fast desktop and the phone for a quarter of it. Its documents have slower machines
// slow down less, by the benchmark that it runs each time: on one of half the speed, a quarter of it would be half such a
// phone.

/** What the benchmark comes to on the slowest machine that a quarter is meant for. */
const FAST = 1500;
const QUARTER = 4;

/** The slowdown on a machine whose benchmark comes to `index`. */
export function slowdownFor(index) {
  const proportional = (QUARTER * index) / FAST;
  return Number(Math.min(QUARTER, Math.max(1, proportional)).toFixed(2));
}
