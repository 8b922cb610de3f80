/** Server-sent events, read from a fetch: EventSource cannot send a key. */

/** Puts chunks of text together and hands out the data of whole events. */
export class EventParser {
  #rest = "";
  #data: string[] = [];

  /** The data of the events that `chunk` completes. */
  push(chunk: string): string[] {
    // A carriage return at the end may be half of a line end.
    const text = this.#rest + chunk;
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + text.slice(whole.length);
    const events: string[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line === "data" || line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      }
    }
    return events;
  }
}

/** The data of each event of `response`, until it ends. */
export async function* eventsOf(response: Response): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
