"""The web page of the service: its sources in JavaScript, and the bundle made from them.

`src/` holds the modules, `page.js` the bundle that `index.html` loads beside the player of motionmillion/io/viewer.
`npm ci && npm run build` in this folder makes it again; `page.js` begins with a hash of its sources, which a test
compares.
"""
