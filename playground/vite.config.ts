import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds a server that runs. */
const server = process.env["AFTERIMAGE_ADDRESS"] ?? "http://127.0.0.1:8080";
const paths = ["/api", "/loras", "/media", "/docs", "/openapi.json", "/healthz"];

/** The two pages, each built by itself: none loads anything of the other. */
const PAGES = { playground: "index.html", status: "status.html" };

/** What the playground loads when it is wanted, by the source it begins with. */
const LATER: Record<string, string> = {
  "ui/brush/dialog.tsx": "brush.js",
  "ui/code/example.tsx": "code.js",
  "i18n/zh.ts": "zh.js",
};

export default defineConfig(({ mode }) => ({
  // The page may lie below a path prefix of a proxy: every address is relative.
  base: "./",
  build: {
    // Those that know `light-dark()`; older ones would need the style sheet twice as long.
    target: ["chrome123", "edge123", "firefox120", "safari17.5"],
    outDir: "../crates/afterimage-server/src/playground/built",
    // The status page comes second and joins what is there.
    emptyOutDir: mode !== "status",
    copyPublicDir: mode !== "status",
    // The preload helper and inlined assets are for pages of many parts; this is one script and one style sheet, and
    // scripts that wait until somebody wants them: the brush, what writes examples, and the languages that are not English.
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      input: mode === "status" ? PAGES.status : PAGES.playground,
      output: {
        // The server names the files, so their names do not change with their contents.
        entryFileNames: mode === "status" ? "status.js" : "playground.js",
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith(".css"))
            ? mode === "status"
              ? "status.css"
              : "playground.css"
            : "[name][extname]",
        ...(mode === "status"
          ? { codeSplitting: false }
          : {
              // A tab of before an upgrade finds a name missing, and says so, instead of another thing under it.
              minifyInternalExports: false,
              chunkFileNames: (chunk: { facadeModuleId?: string | null }) =>
                LATER[chunk.facadeModuleId?.split("/src/")[1] ?? ""] ?? "shared.js",
            }),
      },
    },
  },
  server: { proxy: Object.fromEntries(paths.map((path) => [path, { target: server }])) },
  test: { environment: "node", include: ["tests/**/*.test.ts"] },
}));
