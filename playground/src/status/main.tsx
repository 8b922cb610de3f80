import { render } from "preact";
import { startPreferences } from "../state/preferences";
import { StatusPage } from "./page";
import { startWatching } from "./watch";

startPreferences();
startWatching();
const place = document.getElementById("app");
if (place) render(<StatusPage />, place);
