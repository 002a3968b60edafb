// Makes viewer.js, the script that every page with motions contains, from src/ and three.js:
//
//   npm ci && npm run build
//
// It begins with three.js' licence and the SHA-256 of its sources (all files of src/, this one and package-lock.json,
// in the order of their names, line ends as \n), so that a test finds a bundle that is older than its sources.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const text = (path) => readFileSync(new URL(path, import.meta.url), "utf8").replaceAll("\r\n", "\n");

const sources = ["build.mjs", "package-lock.json", ...readdirSync(new URL("src", import.meta.url)).map((name) => `src/${name}`)];
const hash = createHash("sha256");
for (const path of sources.sort()) hash.update(`${path}\n${text(path)}`);

const version = JSON.parse(text("node_modules/three/package.json")).version;
const licence = text("node_modules/three/LICENSE").trim();
const banner = `/*! motionmillion's player with three.js ${version}, made by motionmillion/io/viewer/build.mjs.
sources sha256 ${hash.digest("hex")}
Of three.js:
${licence} */`;

const made = await build({
  entryPoints: ["src/main.js"], absWorkingDir: new URL(".", import.meta.url).pathname, bundle: true, minify: true,
  format: "iife", target: "es2022", charset: "utf8", legalComments: "none", write: false, logLevel: "warning",
});
const code = made.outputFiles[0].text.trim();
// a page contains the bundle in a script element, which these would end or confuse
const safe = code.replaceAll(/<(?=\/script|script|!--)/gi, "\\x3C");
writeFileSync(new URL("viewer.js", import.meta.url), `${banner}\n${safe}\n`);
console.log(`viewer.js: ${Math.round((banner.length + safe.length) / 1000)} kB`);
