/** Addresses. The page may lie below a path prefix of a proxy, so all are relative to the document. */

/** The page's folder, without the slash at its end. */
export function pageBase(): string {
  return new URL(".", document.baseURI).href.replace(/\/$/, "");
}

/** The address of `path` of the server. */
export function addressOf(path: string): string {
  return new URL(path, document.baseURI).href;
}

/**
 * `address` of a file as this page reaches it. The server writes the address that it believes it has; behind a proxy
 * that may be another host, from which the page may not load pictures. `serverBase` is what the server calls itself.
 */
export function localAddress(address: string, serverBase: string, base: string): string {
  if (serverBase && address.startsWith(`${serverBase}/`)) return base + address.slice(serverBase.length);
  return address;
}

/** What the server calls itself, by the address at which it says a task is. */
export function serverBaseOf(taskAddress: string): string {
  const end = taskAddress.indexOf("/api/v");
  return end < 0 ? "" : taskAddress.slice(0, end);
}

/** Whether the page's policy lets it show the picture at `address`. */
export function isShowable(address: string, base: string): boolean {
  if (/^(data|blob):/.test(address)) return true;
  try {
    return new URL(address).origin === new URL(base).origin;
  } catch {
    return false;
  }
}
