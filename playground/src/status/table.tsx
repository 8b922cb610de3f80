/** A table with a heading, which is moved sideways where the page is narrow. */

import type { ComponentChildren } from "preact";

interface TableProps {
  /** What the table is of, for those who do not see where it stands. */
  label: string;
  /** Headings of the columns; those of numbers with a class. */
  columns: readonly { name: string; isNumber?: boolean }[];
  children: ComponentChildren;
}

export function Table({ label, columns, children }: TableProps) {
  return (
    // Who uses the keyboard moves it, too.
    <div class="table-frame" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map(({ name, isNumber }) => (
              <th key={name} scope="col" class={isNumber ? "number" : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        {children}
      </table>
    </div>
  );
}

export function Section({ title, hint, children }: { title: string; hint?: string; children: ComponentChildren }) {
  return (
    <section class="status-section">
      <h2>{title}</h2>
      {hint && <p class="hint">{hint}</p>}
      {children}
    </section>
  );
}

export function Empty({ text }: { text: string }) {
  return <p class="status-empty">{text}</p>;
}
