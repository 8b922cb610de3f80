/** What failed lately. */

import { moment } from "../i18n";
import { nameOf } from "./series";
import { Empty, Section } from "./table";
import { statusTexts } from "./texts";
import type { RecentFailure } from "./types";

export function Failures({ failures }: { failures: readonly RecentFailure[] }) {
  const words = statusTexts.value;
  return (
    <Section title={words.failuresTitle} hint={words.failuresHint}>
      {failures.length === 0 ? (
        <Empty text={words.failuresEmpty} />
      ) : (
        <ol class="failures">
          {failures.map((failure) => (
            <Failure key={failure.id} failure={failure} />
          ))}
        </ol>
      )}
    </Section>
  );
}

function Failure({ failure }: { failure: RecentFailure }) {
  const words = statusTexts.value;
  const at = new Date(failure.finished_at).toISOString();
  return (
    <li class="failure">
      <p class="failure-head">
        <strong>{words.kinds[failure.kind] ?? failure.kind}</strong>
        <time dateTime={at}>{moment(at)}</time>
      </p>
      <p class="failure-message" lang="en">
        {failure.message}
      </p>
      <dl class="failure-facts">
        <Fact name={words.key} value={nameOf({ key: failure.key, name: failure.key_name })} />
        <Fact name={words.model} value={failure.model} />
        <Fact name={words.task} value={failure.id} />
      </dl>
    </li>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
