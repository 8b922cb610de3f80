/** What the browser keeps. A browser may refuse to; then the page forgets, and works. */

/** For this tab. */
export const tabStorage = storageOf(() => sessionStorage);
/** For this device. */
export const deviceStorage = storageOf(() => localStorage);

export interface Keeper {
  read(name: string): string | null;
  /** Keeps `value`, or forgets it when it is null. */
  write(name: string, value: string | null): void;
}

function storageOf(storage: () => Storage): Keeper {
  const full = (name: string) => `afterimage.${name}`;
  return {
    read(name) {
      try {
        return storage().getItem(full(name));
      } catch {
        return null;
      }
    },
    write(name, value) {
      try {
        if (value === null) storage().removeItem(full(name));
        else storage().setItem(full(name), value);
      } catch {
        // Full, or forbidden.
      }
    },
  };
}

/** The JSON that is kept under `name`, or null when it is none. */
export function readJson(keeper: Keeper, name: string): unknown {
  try {
    return JSON.parse(keeper.read(name) ?? "null");
  } catch {
    return null;
  }
}
