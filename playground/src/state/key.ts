/** The key: from the address's fragment, this tab's memory or, when asked to, this device's. */

import { signal } from "@preact/signals";
import { surroundings } from "../api/client";
import { deviceStorage, tabStorage } from "./storage";

const NAME = "key";

export const key = signal("");
/** Whether the key outlives the tab. */
export const isRemembered = signal(false);

surroundings.key = () => key.value;

/** Takes the key from the address, where it does not stay, or from where it was kept. True if one came by the address. */
export function takeKey(): boolean {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("key");
  isRemembered.value = deviceStorage.read(NAME) !== null;
  if (given) {
    // Out of the address bar and the history before anything else; the rest of the address stays.
    history.replaceState(history.state, "", location.pathname + location.search);
    setKey(given, isRemembered.value);
    return true;
  }
  key.value = tabStorage.read(NAME) ?? deviceStorage.read(NAME) ?? "";
  return false;
}

/** Uses `value` from now on, and keeps it for the tab or for the device. */
export function setKey(value: string, remember: boolean): void {
  key.value = value.trim();
  isRemembered.value = remember && key.value !== "";
  tabStorage.write(NAME, key.value || null);
  deviceStorage.write(NAME, isRemembered.value ? key.value : null);
}
