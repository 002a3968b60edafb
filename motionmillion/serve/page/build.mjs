// Makes page.js, the script of the service's web page, from src/:
//
//   npm ci && npm run build
//
// It begins with the SHA-256 of its sources (all files of src/, this one and package-lock.json, in the order of their
// names, line ends as \n), so that a test finds a bundle that is older than its sources.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const text = (path) => readFileSync(new URL(path, import.meta.url), "utf8").replaceAll("\r\n", "\n");

const sources = ["build.mjs", "package-lock.json", ...readdirSync(new URL("src", import.meta.url)).map((name) => `src/${name}`)];
const hash = createHash("sha256");
for (const path of sources.sort()) hash.update(`${path}\n${text(path)}`);

const banner = `/*! motionmillion's web page, made by motionmillion/serve/page/build.mjs.
sources sha256 ${hash.digest("hex")} */`;
const made = await build({
  entryPoints: ["src/main.js"], absWorkingDir: new URL(".", import.meta.url).pathname, bundle: true, minify: true,
  format: "iife", target: "es2022", charset: "utf8", legalComments: "none", write: false, logLevel: "warning",
});
const code = made.outputFiles[0].text.trim();
writeFileSync(new URL("page.js", import.meta.url), `${banner}\n${code}\n`);
console.log(`page.js: ${Math.round((banner.length + code.length) / 1000)} kB`);
