/** Small charts as SVG. What they show is told in words, too, and stands in tables beside them. */

import { languageTag } from "../i18n";
import { dayName, measured } from "./format";
import { barsOf, niceTop, type Measure } from "./series";
import { statusTexts } from "./texts";

interface ChartProps {
  measure: Measure;
  days: readonly string[];
  values: readonly number[];
}

/** Width of a day, of which its bar leaves some to the next one. */
const STEP = 10;
const BAR = 7;
const HEIGHT = 96;

/** A chart's contents in a sentence. */
function described({ measure, days, values }: ChartProps): string {
  const words = statusTexts.value;
  const since = dayName(days[0] ?? "");
  const until = dayName(days.at(-1) ?? "");
  const name = words.measures[measure];
  const most = Math.max(0, ...values);
  if (most === 0) return words.chartOfNothing(name, since, until);
  const total = measured(
    measure,
    values.reduce((sum, value) => sum + value, 0),
  );
  const day = dayName(days[values.indexOf(most)] ?? "");
  return words.chartOf(name, since, until, total, measured(measure, most), day);
}

function Bars({ measure, days, values, height }: ChartProps & { height: number }) {
  const top = height === HEIGHT ? niceTop(Math.max(...values)) : Math.max(...values, 0) || 1;
  return (
    <svg
      class="chart-bars"
      viewBox={`0 0 ${days.length * STEP} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={described({ measure, days, values })}
      focusable="false"
    >
      {barsOf(values, STEP, height, top).map(({ x, y, height: tall }, index) => (
        <g key={days[index]}>
          {/* All of the day's width can be pointed at. */}
          <rect class="chart-day" x={x} y={0} width={STEP} height={height}>
            <title>{`${dayName(days[index] ?? "")}: ${measured(measure, values[index] ?? 0)}`}</title>
          </rect>
          <rect class="chart-bar" x={x + (STEP - BAR) / 2} y={y} width={BAR} height={tall} />
        </g>
      ))}
    </svg>
  );
}

/** Bars with an axis and the first and the last day. */
export function DayChart(props: ChartProps) {
  const top = niceTop(Math.max(0, ...props.values));
  return (
    <figure class="chart" lang={languageTag.value}>
      <div class="chart-axis" aria-hidden="true">
        <span>{measured(props.measure, top)}</span>
        <span>{measured(props.measure, 0)}</span>
      </div>
      <Bars {...props} height={HEIGHT} />
      <div class="chart-ends" aria-hidden="true">
        <span>{dayName(props.days[0] ?? "")}</span>
        <span>{dayName(props.days.at(-1) ?? "")}</span>
      </div>
    </figure>
  );
}

/** Bars alone, for a row of a table; each row by its own highest. */
export function Spark(props: ChartProps) {
  return (
    <div class="spark">
      <Bars {...props} height={24} />
    </div>
  );
}
