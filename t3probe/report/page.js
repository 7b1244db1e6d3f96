"use strict";
// Sorting, searching and the timeline's cursor. All else works without this script. Text goes
// into the page as text only: nothing here makes HTML.
(() => {
  const PAGE = 100;
  const make = (name, text, more = {}) => Object.assign(document.createElement(name), { textContent: text }, more);

  // What a cell is sorted by: its number where it has one, else its text.
  const key = (row, at) => {
    const cell = row.cells[at];
    const by = cell.dataset.v ?? cell.textContent;
    const number = by === "inf" ? Infinity : Number(by);
    return by.trim() === "" || Number.isNaN(number) ? by.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };

  const sortable = (table, rows, show) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = rows.map((row) => [key(row, at), row]);
        keyed.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
        keyed.forEach(([, row], place) => { rows[place] = row; });
        show();
      });
    });
  };

  for (const table of document.querySelectorAll("table[data-sort]")) {
    if (table.id === "upstreams-table") continue;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    sortable(table, rows, () => body.replaceChildren(...rows));
  }

  // Upstreams: all rows leave the page at once; a hundred at most come back.
  const table = document.getElementById("upstreams-table");
  if (table) {
    const [search, outcome, back, next, said] =
      ["search", "outcome", "back", "next", "said"].map((name) => document.getElementById(`up-${name}`));
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const outcomes = new Map(rows.map((row) => [row, row.cells[4].textContent]));
    let found = rows, page = 0;
    const show = () => {
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE));
      back.disabled = page === 0;
      next.disabled = page === pages - 1;
      const of = found.length === rows.length ? "" : ` of ${rows.length.toLocaleString("en")}`;
      const where = pages > 1 ? `, page ${page + 1} of ${pages}` : "";
      said.textContent = `${found.length.toLocaleString("en")}${of} shown${where}`;
    };
    const filter = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      found = rows.filter((row) =>
        (!outcome.value || outcomes.get(row) === outcome.value) &&
        wanted.every((word) => words.get(row).includes(word)));
      page = 0;
      show();
    };
    search.addEventListener("input", filter);
    outcome.addEventListener("change", filter);
    back.addEventListener("click", () => { page -= 1; show(); });
    next.addEventListener("click", () => { page += 1; show(); });
    sortable(table, rows, filter);
    back.hidden = next.hidden = rows.length <= PAGE;
    search.closest(".tools").hidden = false;
    show();
  }

  // The timeline's cursor: a slider for keys, the pointer for hands.
  const lanes = document.querySelector(".lanes");
  if (lanes) {
    const span = Number(lanes.dataset.span), start = Number(lanes.dataset.start);
    const slider = make("input", "", { type: "range", min: 0, max: 1000, value: 0 });
    slider.setAttribute("aria-label", "moment on the timeline");
    const said = make("output", "Move along the timeline to read a moment.");
    const row = make("div", "", { className: "cursor" });
    row.append(slider, said);
    lanes.parentElement.after(row);
    const needle = make("div", "", { className: "needle", hidden: true });
    lanes.parentElement.append(needle);
    const point = () => {
      const seconds = (slider.value / 1000) * span;
      const moment = new Date((start + seconds) * 1000);
      const utc = Number.isNaN(moment.getTime()) ? "" : `, ${moment.toISOString().slice(11, 23)} UTC`;
      said.textContent = `${seconds.toFixed(3)} s${utc}`;
      slider.setAttribute("aria-valuetext", said.textContent);
      const plot = lanes.tBodies[0].querySelector(".plot svg");
      if (!plot) return;
      const box = plot.getBoundingClientRect(), outer = lanes.parentElement.getBoundingClientRect();
      needle.style.left = `${box.left - outer.left + lanes.parentElement.scrollLeft + (box.width * slider.value) / 1000}px`;
      needle.hidden = false;
    };
    slider.addEventListener("input", point);
    lanes.addEventListener("pointermove", (event) => {
      const plot = lanes.tBodies[0].querySelector(".plot svg");
      const box = plot && plot.getBoundingClientRect();
      if (!box || event.clientX < box.left || event.clientX > box.right) return;
      slider.value = ((event.clientX - box.left) / box.width) * 1000;
      point();
    });
  }
})();
