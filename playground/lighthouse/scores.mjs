// What is kept of Lighthouse's reports, which are a megabyte each and name paths of the machine.

const METRICS = {
  "first-contentful-paint": "ms",
  "largest-contentful-paint": "ms",
  "speed-index": "ms",
  "total-blocking-time": "ms",
  "cumulative-layout-shift": "",
};

/** Points, the metrics behind those for performance, and which checks lost points. */
export function condensed(report) {
  if (report.runtimeError) throw new Error(report.runtimeError.message);
  const categories = Object.values(report.categories);
  const points = Object.fromEntries(categories.map(({ id, score }) => [id, Math.round(score * 100)]));
  const metrics = Object.fromEntries(
    Object.entries(METRICS).map(([id, unit]) => {
      const value = report.audits[id].numericValue;
      return [id, unit === "ms" ? Math.round(value) : Number(value.toFixed(4))];
    }),
  );
  const browser = /Chrome\/([\d.]+)/.exec(report.environment.hostUserAgent)?.[1];
  const machine = {
    benchmark: Math.round(report.environment.benchmarkIndex),
    slowdown: report.configSettings.throttling.cpuSlowdownMultiplier,
  };
  return { points, metrics, machine, lost: lost(report), versions: { lighthouse: report.lighthouseVersion, browser } };
}

/** Checks with weight that were not passed; those behind performance are told by its metrics. */
function lost(report) {
  return Object.values(report.categories)
    .filter(({ id }) => id !== "performance")
    .flatMap(({ id, auditRefs }) =>
      auditRefs
        .filter((reference) => reference.weight > 0 && (report.audits[reference.id].score ?? 1) < 1)
        .map((reference) => `${id}: ${report.audits[reference.id].title}`),
    );
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** Lighthouse itself warns of its points for performance where its benchmark comes to less. */
const STEADY = 1000;

/** A line for each category of a device below its floor. */
export function lacking(devices, { floor, busyFloor }) {
  return Object.entries(devices).flatMap(([device, { points, runs }]) => {
    const isBusy = median(runs.map(({ machine }) => machine.benchmark)) < STEADY;
    const floorOf = (category) => (isBusy && category === "performance" ? busyFloor : floor);
    return Object.entries(points)
      .filter(([category, score]) => score < floorOf(category))
      .map(([category, score]) => `${device}: ${score} of 100 points for ${category}, not ${floorOf(category)}`);
  });
}
