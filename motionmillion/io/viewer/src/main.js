// What the bundle gives to a page: `Player`, `showPlaying`, `stillWished`, `openViewer` and `dressedScene`.

import { dressedScene } from "./dropped.js";
import { openViewer } from "./page.js";
import { Player } from "./player.js";

const PLAY_ICONS = { true: "M6 4h4v16H6zM14 4h4v16h-4z", false: "M7 4l13 8-13 8z" };

function showPlaying(button, playing) { // the icon of a play button
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${PLAY_ICONS[playing]}"/></svg>`;
}

const stillWished = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

Object.assign(window, { Player, showPlaying, stillWished, openViewer, dressedScene });
