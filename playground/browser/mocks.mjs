// Answers in place of the server's, for what a server of the tests does not do by itself.

/** A task as the server tells it. */
export function prediction(server, more = {}) {
  const id = more.id ?? "11111111-2222-4333-8444-555555555555";
  return {
    id,
    model: "wavespeed-ai/flux-redux-dev",
    input: { image: `${server}/media/uploads/none.jpeg`, size: "512*512", seed: 7 },
    outputs: [],
    urls: { get: `${server}/api/v3/predictions/${id}/result` },
    has_nsfw_contents: [],
    status: "created",
    created_at: "2026-11-30T12:00:00.000Z",
    error: "",
    executionTime: 0,
    timings: { inference: 1234 },
    ...more,
  };
}

export function answer(route, data) {
  return route.fulfill({ json: { code: 200, message: "success", data } });
}

/** A history of `total` tasks, page by page. */
export async function mockHistory(page, server, total, statuses = ["completed", "failed", "cancelled"]) {
  const asked = [];
  await page.route("**/api/v3/predictions", async (route) => {
    const { page: number = 1, page_size: size = 20 } = route.request().postDataJSON();
    asked.push(number);
    const first = (number - 1) * size;
    const count = Math.max(0, Math.min(size, total - first));
    const items = Array.from({ length: count }, (_, index) => {
      const place = first + index;
      return prediction(server, {
        id: `00000000-0000-4000-8000-${String(place).padStart(12, "0")}`,
        input: { prompt: `task number ${place}`, size: "512*512", seed: place },
        status: statuses[place % statuses.length],
      });
    });
    await answer(route, { page: number, total, items });
  });
  return asked;
}

/** Takes submits without running anything; returns their bodies. */
export async function mockSubmit(page, server, more = {}) {
  const sent = [];
  await page.route("**/api/v3/wavespeed-ai/**", async (route) => {
    const body = route.request().postDataJSON();
    const model = new URL(route.request().url()).pathname.replace(/^.*\/api\/v3\//, "");
    sent.push({ model, body, headers: route.request().headers() });
    const id = `aaaaaaaa-0000-4000-8000-${String(sent.length).padStart(12, "0")}`;
    await answer(route, prediction(server, { id, model, input: body, ...more }));
  });
  return sent;
}

/** Answers questions after single tasks, and opens no stream. */
export async function mockTask(page, server, more, events = "") {
  await page.route(/\/api\/v3\/predictions\/[^/]+$/, async (route) => {
    const id = new URL(route.request().url()).pathname.split("/").at(-1);
    await answer(route, prediction(server, { id, ...more }));
  });
  await page.route(/\/api\/v3\/predictions\/[^/]+\/events$/, (route) =>
    route.fulfill({ contentType: "text/event-stream", body: events }),
  );
}

/** Gives the Redux models of the catalogue settings of `properties` that the server may not have. */
export async function mockCatalogue(page, properties) {
  await page.route("**/api/v3/models", async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    for (const item of body.data) {
      if (!item.model_id.includes("redux")) continue;
      const schema = item.api_schema.api_schemas[0].request_schema;
      Object.assign(schema.properties, properties);
      const names = schema["x-order-properties"];
      for (const name of Object.keys(properties)) if (!names.includes(name)) names.push(name);
    }
    await route.fulfill({ response, json: body });
  });
}

/** Redux's own settings, as servers have them. */
export const REDUX_SETTINGS = {
  redux_strength: {
    type: ["number", "null"],
    minimum: 0,
    maximum: 1,
    default: 1,
    description: "An addition: weight of the picture.",
  },
  redux_downsample: {
    type: ["number", "null"],
    minimum: 1,
    maximum: 9,
    default: 1,
    description: "An addition: how coarse.",
  },
  images: {
    type: ["array", "null"],
    maxItems: 7,
    items: { type: "string", minLength: 1 },
    description: "An addition: further pictures.",
  },
  image_weights: {
    type: ["array", "null"],
    maxItems: 8,
    items: { type: "number", minimum: -10, maximum: 10 },
    description: "An addition: weights.",
  },
};

/** What operators are told of a busy server. */
export function operatorStatus(more = {}) {
  const until = new Date();
  const dayBefore = (days) => new Date(until.getTime() - days * 86_400_000).toISOString().slice(0, 10);
  const days = (weight, first = 29) =>
    Array.from({ length: first + 1 }, (_, index) => {
      const jobs = Math.round(weight * (3 + 2 * Math.sin(index)));
      return {
        day: dayBefore(first - index),
        jobs,
        pictures: 2 * jobs,
        failures: index % 9 === 0 ? 1 : 0,
        cost: jobs * 0.024,
      };
    });
  const engine = { model: "dev", device: "cuda:0", open: true, given_up: false, restarts: 0, checkers: ["open_nsfw"] };
  const memory = "at most 21.3 GB of 24.0 GB: text encoders 9.8 GB released after use, transformer 12.1 GB kept";
  return {
    at: Date.now(),
    server: {
      engines: [
        { ...engine, memory },
        { ...engine, device: "cuda:1", open: false, restarts: 12, checkers: null, memory: null, given_up: true },
        { ...engine, model: "default", device: "cpu", checkers: [], memory: "at most 41 MB" },
      ],
      processes: [
        {
          role: "worker",
          host: "worker-7f9c.pictures.example",
          version: "0.2.0",
          models: ["dev", "default"],
          slots: 3,
          ready: 2,
          devices: ["cpu", "cuda:0", "cuda:1"],
          seen_at: Date.now() - 4000,
        },
      ],
      safety: { on_flag: "withhold", required: false },
    },
    queues: [
      { model: "default", waiting: 0, running: 1, oldest_wait_s: 0 },
      { model: "dev", waiting: 1234, running: 2, oldest_wait_s: 4210.5 },
    ],
    failures: [
      {
        id: "11111111-2222-4333-8444-555555555555",
        model: "wavespeed-ai/flux-redux-dev",
        dialect: "wavespeed",
        key: "a1b2c3d4e5f6",
        key_name: "shop",
        kind: "engine",
        message: "<b>internal error</b>: the device lacks memory",
        finished_at: Date.now() - 60_000,
      },
      {
        id: "21111111-2222-4333-8444-555555555555",
        model: "fal-ai/flux/dev/redux",
        dialect: "fal",
        key: "0a1b2c3d4e5f",
        key_name: "",
        kind: "of_a_later_version",
        message: `${"a long word without an end".replaceAll(" ", "")}`.repeat(8),
        finished_at: Date.now() - 7_200_000,
      },
    ],
    usage: {
      since: dayBefore(29),
      until: dayBefore(0),
      keys: [
        { key: "a1b2c3d4e5f6", name: "shop", days: days(9) },
        { key: "0a1b2c3d4e5f", name: "", days: days(3, 12) },
      ],
      others: days(1, 3),
    },
    ...more,
  };
}
