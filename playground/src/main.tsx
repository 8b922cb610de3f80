import { render } from "preact";
import { start } from "./state/start";
import { App } from "./ui/app";

const place = document.getElementById("app");
void start().then(() => {
  // In a task of its own, after the one that read the script.
  if (place) setTimeout(() => render(<App />, place));
});
