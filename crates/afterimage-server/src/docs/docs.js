"use strict";

function node(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

let components = {};

function resolved(schema) {
  return schema && schema.$ref ? resolved(components[schema.$ref.split("/").pop()]) : schema || {};
}

function typeName(schema) {
  const target = resolved(schema);
  if (target.enum) return target.enum.filter((value) => value !== null).join(" | ");
  const type = Array.isArray(target.type) ? target.type.filter((name) => name !== "null").join(" | ") : target.type;
  return type === "array" ? typeName(target.items) + "[]" : type || "any";
}

function range(schema) {
  const low = schema.minimum ?? schema["x-minimum-side"];
  const high = schema.maximum ?? schema["x-maximum-side"];
  return low === undefined && high === undefined ? "" : `${low ?? ""} … ${high ?? ""}`;
}

function fields(schema) {
  const target = resolved(schema);
  if (!target.properties) return node("p", typeName(schema));
  const head = node("tr", "", ...["field", "type", "range", "default", ""].map((name) => node("th", name)));
  const rows = (target["x-order-properties"] || Object.keys(target.properties)).map((name) => {
    const property = resolved(target.properties[name]);
    const required = (target.required || []).includes(name);
    return node("tr", "",
      node("td", name + (required ? " *" : "")),
      node("td", typeName(property)),
      node("td", range(property)),
      node("td", property.default === undefined ? "" : JSON.stringify(property.default)),
      node("td", property.description || target.properties[name].description || ""));
  });
  return node("table", "", head, ...rows);
}

function operation(method, path, about) {
  const made = node("details", "", node("summary", `${method.toUpperCase()} ${path} — ${about.summary || ""}`));
  if (about.description) made.append(node("p", about.description));
  if (about.parameters) {
    made.append(node("h4", "parameters"), node("ul", "", ...about.parameters.map((parameter) =>
      node("li", `${parameter.name} (${parameter.in}): ${parameter.description || ""}`))));
  }
  for (const [type, content] of Object.entries(about.requestBody?.content || {})) {
    made.append(node("h4", `request, ${type}`), fields(content.schema));
  }
  for (const [status, response] of Object.entries(about.responses || {})) {
    made.append(node("h4", `${status} ${resolved(response).description || ""}`));
    for (const content of Object.values(response.content || {})) made.append(fields(content.schema));
  }
  return made;
}

fetch("openapi.json").then((response) => response.json()).then((api) => {
  components = api.components?.schemas || {};
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => operation(method, path, about)));
  document.getElementById("operations").replaceChildren(node("p", api.info.description), ...operations);
});
