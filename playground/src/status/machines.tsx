/** What there is to do, and what does it. */

import { count, ago, waited } from "./format";
import { Empty, Section, Table } from "./table";
import { statusTexts } from "./texts";
import type { EngineProcess, HostProcess, ModelLoad } from "./types";

export function Queues({ queues }: { queues: readonly ModelLoad[] }) {
  const words = statusTexts.value;
  const longest = Math.max(1, ...queues.map((load) => load.waiting + load.running));
  return (
    <Section title={words.queues}>
      {queues.length === 0 ? (
        <Empty text={words.queuesEmpty} />
      ) : (
        <Table
          label={words.queues}
          columns={[
            { name: words.model },
            { name: words.waiting, isNumber: true },
            { name: words.running, isNumber: true },
            { name: words.oldest, isNumber: true },
          ]}
        >
          <tbody>
            {queues.map((load) => (
              <tr key={load.model}>
                <th scope="row">
                  {load.model}
                  <Depth load={load} longest={longest} />
                </th>
                <td class="number">{count(load.waiting)}</td>
                <td class="number">{count(load.running)}</td>
                <td class="number">{load.waiting > 0 ? waited(load.oldest_wait_s) : words.nothing}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Section>
  );
}

/** Running and waiting as lengths; the numbers stand beside it. */
function Depth({ load, longest }: { load: ModelLoad; longest: number }) {
  const running = (load.running / longest) * 100;
  return (
    <svg class="depth" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <rect class="depth-all" width={100} height={4} />
      <rect class="depth-running" width={running} height={4} />
      <rect class="depth-waiting" x={running} width={(load.waiting / longest) * 100} height={4} />
    </svg>
  );
}

function stateOf(engine: EngineProcess): "open" | "opening" | "givenUp" {
  if (engine.given_up) return "givenUp";
  return engine.open ? "open" : "opening";
}

export function Engines({ engines }: { engines: readonly EngineProcess[] }) {
  const words = statusTexts.value;
  return (
    <Section title={words.enginesTitle}>
      {engines.length === 0 ? (
        <Empty text={words.enginesEmpty} />
      ) : (
        <Table
          label={words.enginesTitle}
          columns={[
            { name: words.model },
            { name: words.device },
            { name: words.state },
            { name: words.restarts, isNumber: true },
            { name: words.checkers },
            { name: words.memory },
          ]}
        >
          <tbody>
            {engines.map((engine, index) => (
              <tr key={index}>
                <th scope="row">{engine.model}</th>
                <td>{engine.device}</td>
                <td>
                  <span class={`state state-${stateOf(engine).toLowerCase()}`}>{words.states[stateOf(engine)]}</span>
                </td>
                <td class="number">{count(engine.restarts)}</td>
                <td>{checkersOf(engine, words.nothing, words.noCheckers)}</td>
                <td class="wide" lang="en">
                  {engine.memory ?? words.nothing}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Section>
  );
}

function checkersOf(engine: EngineProcess, unknown: string, none: string): string {
  if (!engine.checkers) return unknown;
  return engine.checkers.length === 0 ? none : engine.checkers.join(", ");
}

/** Only where others can use the same database. */
export function Processes({ processes, at }: { processes: readonly HostProcess[]; at: number }) {
  const words = statusTexts.value;
  if (processes.length === 0) return null;
  return (
    <Section title={words.processes}>
      <Table
        label={words.processes}
        columns={[
          { name: words.host },
          { name: words.role },
          { name: words.model },
          { name: words.device },
          { name: words.ready, isNumber: true },
          { name: words.version },
          { name: words.seen },
        ]}
      >
        <tbody>
          {processes.map((process, index) => (
            <tr key={index}>
              <th scope="row">{process.host}</th>
              <td>{process.role}</td>
              <td>{process.models.join(", ") || words.nothing}</td>
              <td>{process.devices.join(", ") || words.nothing}</td>
              <td class="number">{process.slots > 0 ? `${process.ready} / ${process.slots}` : words.nothing}</td>
              <td>{process.version}</td>
              <td>{ago(process.seen_at, at)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
