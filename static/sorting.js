// Tables whose rows are sorted by a click on a heading.

/** The value of a cell: its number if the column holds numbers, below all others where there is none, else its text. */
function valueOf(cell) {
  const text = cell.textContent.trim();
  if (!cell.classList.contains("number")) return text;
  const number = Number.parseFloat(text);
  return Number.isNaN(number) ? Number.NEGATIVE_INFINITY : number;
}

function compare(one, other) {
  if (one === other) return 0;
  return typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });
}

/** Sorts the rows of a table by a column; a second click turns the order round. */
function sort(table, heading) {
  const column = [...heading.parentElement.children].indexOf(heading);
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row.cells[column]) }));
  rows.sort((one, other) => (down ? -1 : 1) * compare(one.value, other.value));
  body.append(...rows.map(({ row }) => row));
}

/** Makes the headings of a table buttons that sort it. */
export function sortable(table) {
  for (const heading of table.querySelectorAll("thead th")) {
    if (!heading.textContent.trim() || heading.querySelector(".hidden, button")) continue;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "sort" });
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, heading));
  }
}
