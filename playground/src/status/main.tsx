import { render } from "preact";
import { startPreferences } from "../state/preferences";
import { StatusPage } from "./page";
import { startWatching } from "./watch";

const place = document.getElementById("app");
void startPreferences().then(() => {
  startWatching();
  if (place) render(<StatusPage />, place);
});
