"""The player in HTML pages: its sources in JavaScript, the bundle made from them, and the data that it plays.

`src/` holds the modules, `viewer.js` the bundle with three.js that every page contains. `npm ci && npm run build` in
this folder makes it again; `viewer.js` begins with a hash of its sources, which a test compares.
"""
