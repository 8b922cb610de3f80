import { describe, expect, test } from "vitest";
import { EventParser, eventsOf } from "../src/api/sse";

describe("server-sent events", () => {
  test("are whole, however they were cut", () => {
    const stream = 'data: {"a":1}\n\n: ping\n\nevent: x\ndata: one\ndata: two\n\n';
    for (let size = 1; size <= stream.length; size++) {
      const parser = new EventParser();
      const events: string[] = [];
      for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)));
      expect(events, `pieces of ${size}`).toEqual(['{"a":1}', "one\ntwo"]);
    }
  });

  test("may have any of the line ends", () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const parser = new EventParser();
      // A carriage return at the very end may be half of a line end, so something follows.
      const events = parser.push(["data: a", "", "data:b", "data", "", ":", ""].join(end));
      expect(events, JSON.stringify(end)).toEqual(["a", "b\n"]);
    }
    const parser = new EventParser();
    expect([...parser.push("data: a\r"), ...parser.push("\n\r"), ...parser.push("\ndata: b")]).toEqual(["a"]);
  });

  test("that did not end are not there", () => {
    expect(new EventParser().push("data: half\n")).toEqual([]);
    expect(new EventParser().push("\n\n\n")).toEqual([]);
  });

  test("are read from an answer, also with characters cut in two", async () => {
    const bytes = new TextEncoder().encode("data: 雪\n\ndata: x\n\n");
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.slice(0, 7));
        controller.enqueue(bytes.slice(7));
        controller.close();
      },
    });
    const events: string[] = [];
    for await (const data of eventsOf(new Response(body))) events.push(data);
    expect(events).toEqual(["雪", "x"]);
  });
});
