// Sorts tables by the column whose head is pressed: numbers first and from high to low, again the other way round.
for (const table of document.querySelectorAll(".wide table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").onclick = () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      const key = (row) => {
        const cell = row.cells[column];
        return column === 0 ? cell.textContent : Number(cell.dataset.value ?? NaN);
      };
      const order = (a, b) => {
        if (column === 0) return down ? b.localeCompare(a) : a.localeCompare(b);
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // what is missing comes last
        return down ? b - a : a - b;
      };
      body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    };
  });
}
