/** What keys had made in the last days: one chart of all, and a small one of each. */

import { signal } from "@preact/signals";
import { Segments } from "../ui/widgets";
import { DayChart, Spark } from "./charts";
import { dayName, measured } from "./format";
import { allDays, daysBetween, MEASURES, nameOf, seriesOf, totalsOf, type Measure } from "./series";
import { Empty, Section, Table } from "./table";
import { statusTexts } from "./texts";
import type { DayUsage, Usage } from "./types";

const chosen = signal<Measure>("pictures");

export function UsageSection({ usage }: { usage: Usage }) {
  const words = statusTexts.value;
  const days = daysBetween(usage.since, usage.until);
  const all = allDays(usage);
  const measure = chosen.value;
  return (
    <Section title={words.usage} hint={words.usageHint}>
      {all.length === 0 ? (
        <Empty text={words.usageEmpty} />
      ) : (
        <>
          <Segments
            name="measure"
            label={words.measure}
            words={MEASURES}
            chosen={measure}
            text={(word) => words.measures[word]}
            onChoose={(word) => (chosen.value = word)}
          />
          <DayChart measure={measure} days={days} values={seriesOf(days, all, measure)} />
          <Keys usage={usage} days={days} />
          <ByDay days={days} all={all} />
        </>
      )}
    </Section>
  );
}

const NUMBERS = (names: Record<Measure, string>) => MEASURES.map((name) => ({ name: names[name], isNumber: true }));

function Keys({ usage, days }: { usage: Usage; days: readonly string[] }) {
  const words = statusTexts.value;
  return (
    <Table
      label={words.usage}
      columns={[
        { name: words.key },
        { name: `${words.byDay}: ${words.measures[chosen.value]}` },
        ...NUMBERS(words.measures),
      ]}
    >
      <tbody>
        {usage.keys.map((key) => (
          <UseRow key={key.key} name={nameOf(key)} id={key.key} days={days} told={key.days} />
        ))}
        {usage.others.length > 0 && <UseRow name={words.others} id="" days={days} told={usage.others} />}
      </tbody>
      <tfoot>
        <UseRow name={words.total} id="" days={days} told={allDays(usage)} />
      </tfoot>
    </Table>
  );
}

interface UseRowProps {
  name: string;
  /** Shown where the name says something else. */
  id: string;
  days: readonly string[];
  told: readonly DayUsage[];
}

function UseRow({ name, id, days, told }: UseRowProps) {
  const totals = totalsOf(told);
  const measure = chosen.value;
  return (
    <tr>
      <th scope="row">
        {name}
        {id !== "" && id !== name && <code class="key-id">{id}</code>}
      </th>
      <td>
        <Spark measure={measure} days={days} values={seriesOf(days, told, measure)} />
      </td>
      {MEASURES.map((each) => (
        <td key={each} class={each === "failures" && totals.failures > 0 ? "number bad" : "number"}>
          {measured(each, totals[each])}
        </td>
      ))}
    </tr>
  );
}

/** For those who read numbers: the days on which anything ended, the last first. */
function ByDay({ days, all }: { days: readonly string[]; all: readonly DayUsage[] }) {
  const words = statusTexts.value;
  const rows = days
    .map((day) => ({ day, told: all.filter((each) => each.day === day) }))
    .filter(({ told }) => told.length > 0)
    .reverse();
  return (
    <details class="by-day">
      <summary>{words.asTable}</summary>
      <Table label={words.byDay} columns={[{ name: words.day }, ...NUMBERS(words.measures)]}>
        <tbody>
          {rows.map(({ day, told }) => {
            const totals = totalsOf(told);
            return (
              <tr key={day}>
                <th scope="row">{dayName(day)}</th>
                {MEASURES.map((each) => (
                  <td key={each} class="number">
                    {measured(each, totals[each])}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </Table>
    </details>
  );
}
