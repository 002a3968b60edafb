// The strips below the slider: parts of a timeline, and when each foot touches the floor.

const GAP = 2;

export function drawStrips(canvas, player) {
  const [motion] = player.motions, ratio = Math.min(window.devicePixelRatio || 1, 2);
  const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(name).trim();
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  const key = [width, height, color("--contact"), motion.caption, motion.frames, player.frames, player.marks.contacts].join();
  if (canvas.dataset.key === key || !width) return; // only what changes is drawn
  canvas.dataset.key = key;
  canvas.width = width; canvas.height = height;
  const pen = canvas.getContext("2d"), perFrame = width / Math.max(1, player.seconds * motion.fps - 1);
  const rows = (motion.parts.length ? 1 : 0) + (motion.contacts && player.marks.contacts ? 2 : 0);
  if (!rows) return;
  const tall = (height - GAP * ratio * (rows - 1)) / rows, rowTop = (row) => row * (tall + GAP * ratio);
  motion.parts.forEach(([start, end], part) => {
    pen.fillStyle = color("--accent"); pen.globalAlpha = part % 2 ? 0.35 : 0.65;
    pen.fillRect(start * motion.fps * perFrame, 0, (end - start) * motion.fps * perFrame - ratio, tall);
  });
  if (!motion.contacts || !player.marks.contacts) return;
  [3, 12].forEach((bits, foot) => { // left, right
    const top = rowTop(rows - 2 + foot);
    pen.globalAlpha = 0.14; pen.fillStyle = color("--faint");
    pen.fillRect(0, top, (motion.frames - 1) * perFrame, tall);
    pen.globalAlpha = 0.85; pen.fillStyle = color("--contact");
    let start = -1; // of a run
    for (let frame = 0; frame <= motion.frames; frame++) {
      const stands = frame < motion.frames && motion.contacts[frame] & bits;
      if (stands && start < 0) start = frame;
      if (stands || start < 0) continue;
      pen.fillRect((start - 0.5) * perFrame, top, (frame - start) * perFrame, tall);
      start = -1;
    }
  });
}
