/** Parts of the page that wait until the form is there. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

/** `children` in a task of their own, once what is around them was painted: one long task would hold up a slow phone. */
export function Later({ children }: { children: ComponentChildren }) {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setDue(true));
    return () => clearTimeout(timer);
  }, []);
  return isDue ? <>{children}</> : null;
}
