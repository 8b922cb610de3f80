import { beforeAll, describe, expect, test, vi } from "vitest";
import { isShowable, localAddress, serverBaseOf } from "../src/api/address";
import type { Prediction } from "../src/api/types";

beforeAll(() => {
  vi.stubGlobal("document", { baseURI: "https://page.example/studio/" });
});

const { inputsOf, isFlagged, outputsOf, Task } = await import("../src/state/tasks");

function prediction(more: Partial<Prediction> = {}): Prediction {
  return {
    id: "6d0b8a0e",
    model: "wavespeed-ai/flux-redux-dev",
    input: { image: "http://inside:8080/media/uploads/a.jpeg?expires=1" },
    outputs: [],
    urls: { get: "http://inside:8080/api/v3/predictions/6d0b8a0e/result" },
    has_nsfw_contents: [],
    status: "created",
    created_at: "2026-11-30T12:00:00.000Z",
    error: "",
    executionTime: 0,
    timings: { inference: 0 },
    ...more,
  };
}

describe("addresses", () => {
  test("of the server's files lead through the page's own host and prefix", () => {
    const done = prediction({
      outputs: ["http://inside:8080/media/results/x/0.jpeg?a=1", "https://bucket.example/1.jpeg"],
    });
    expect(outputsOf(done)).toEqual([
      "https://page.example/studio/media/results/x/0.jpeg?a=1",
      "https://bucket.example/1.jpeg",
    ]);
    expect(inputsOf(done)).toEqual(["https://page.example/studio/media/uploads/a.jpeg?expires=1"]);
  });

  test("of inlined pictures are not there", () => {
    expect(
      inputsOf(prediction({ input: { image: "data:image/png;base64,iVBO…", images: ["https://a/1", 5] } })),
    ).toEqual(["https://a/1"]);
    expect(inputsOf(prediction({ input: {} }))).toEqual([]);
  });

  test("of base64 results are data", () => {
    const [jpeg, png] = outputsOf(prediction({ outputs: ["/9j/4AAQ", "iVBORw0K"] }));
    expect(jpeg).toBe("data:image/jpeg;base64,/9j/4AAQ");
    expect(png).toBe("data:image/png;base64,iVBORw0K");
  });

  test("are compared whole", () => {
    expect(serverBaseOf("http://a/b/api/v3/predictions/1/result")).toBe("http://a/b");
    expect(serverBaseOf("nonsense")).toBe("");
    expect(localAddress("http://ab/media", "http://a", "https://p")).toBe("http://ab/media");
    expect(localAddress("http://a/media", "", "https://p")).toBe("http://a/media");
    expect(isShowable("https://page.example/x", "https://page.example/studio")).toBe(true);
    expect(isShowable("https://other.example/x", "https://page.example/studio")).toBe(false);
    expect(isShowable("blob:x", "https://page.example")).toBe(true);
    expect(isShowable("nonsense", "https://page.example")).toBe(false);
  });
});

describe("a task", () => {
  test("follows its events", () => {
    const task = new Task(prediction());
    task.hear({ type: "queue", place: 2 });
    expect(task.progress.value.place).toBe(2);
    task.hear({ type: "stage", stage: "denoise" });
    task.hear({ type: "step", done: 3, total: 28 });
    task.hear({ type: "preview", url: "data:x" });
    expect(task.progress.value).toEqual({ place: null, stage: "denoise", done: 3, total: 28 });
    expect(task.preview.value).toBe("data:x");
    expect(task.prediction.value.status).toBe("processing");
    // Its process died, and it waits again.
    task.hear({ type: "queue", place: 0 });
    expect(task.progress.value).toEqual({ place: 0, stage: null, done: 0, total: 0 });
    expect(task.prediction.value.status).toBe("created");
  });

  test("that is over stays so, whatever comes late", () => {
    const task = new Task(prediction());
    task.hear({ type: "preview", url: "data:x" });
    task.update(prediction({ status: "completed", outputs: ["https://a/1"] }));
    expect(task.preview.value).toBeNull();
    task.update(prediction({ status: "processing" }));
    task.hear({ type: "step", done: 1, total: 2 });
    expect(task.prediction.value.status).toBe("completed");
    expect(task.progress.value.done).toBe(0);
    expect(task.isOver).toBe(true);
  });

  test("was flagged, was not, or nobody looked", () => {
    const done = prediction({ has_nsfw_contents: [true, false] });
    expect([0, 1, 2].map((index) => isFlagged(done, index))).toEqual([true, false, null]);
  });
});
