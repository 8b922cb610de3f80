import { render } from "preact";
import { start } from "./state/start";
import { App } from "./ui/app";

start();
const place = document.getElementById("app");
if (place) render(<App />, place);
