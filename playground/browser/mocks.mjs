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
