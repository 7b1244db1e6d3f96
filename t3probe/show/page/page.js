"use strict";
// Sorting, searching and the timeline's cursor. All else works without this script. Text goes
// into the page as text only: nothing here makes HTML.
(() => {
  const PAGE = 100;
  const make = (name, text, more = {}) => Object.assign(document.createElement(name), { textContent: text }, more);

  // What a cell is sorted by: its number where it has one, else its text.
  const key = (by) => {
    const number = by === "inf" ? Infinity : Number(by);
    return by.trim() === "" || Number.isNaN(number) ? by.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };

  // Buttons into a table's heads. `by(row, column)` is the text that a row is sorted by.
  const sortable = (table, rows, by, show) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = rows.map((row) => [key(by(row, at)), row]);
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
    const by = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
    sortable(table, rows, by, () => body.replaceChildren(...rows));
  }

  // The upstreams that are no elements of the page: columns of texts.
  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const columns = JSON.parse(await new Response(plain).text());
    return columns[0].map((_, at) => ({ texts: columns.map((column) => column[at]) }));
  };
  const OUTCOME = 4, CONNECT = 5;
  const UNITS = { ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400 };
  const seconds = (text) => {
    const words = text.split(" ");
    if (!(words[1] in UNITS)) return "inf";
    return String(words.reduce((sum, word, at) => (at % 2 ? sum + words[at - 1] * UNITS[word] : sum), 0));
  };
  // Its row, made when it is first shown.
  const element = (one) => {
    if (!one.row) {
      one.row = document.createElement("tr");
      one.row.append(...one.texts.map((text, at) => make(at ? "td" : "th", text)));
      one.row.cells[0].scope = "row";
      if (one.texts[0].length > 32) one.row.cells[0].className = "long";
      one.row.cells[OUTCOME].className = `u-${one.texts[OUTCOME]}`;
    }
    return one.row;
  };

  // All rows leave the page at once; a hundred at most come back.
  const upstreams = async (table) => {
    const [search, outcome, back, next, said] =
      ["search", "outcome", "back", "next", "said"].map((name) => document.getElementById(`up-${name}`));
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) =>
      ({ row, texts: [...row.cells].map((cell) => cell.textContent) }));
    let note = "";
    const packed = document.getElementById("up-packed");
    if (packed) {
      try {
        rows.push(...await unpack(packed.textContent));
      } catch {
        note = "; this browser cannot unpack the rest";
      }
    }
    for (const one of rows) one.words = one.texts.join("\n").toLowerCase();
    let found = rows, page = 0;
    const show = () => {
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(element));
      back.disabled = page === 0;
      next.disabled = page === pages - 1;
      const of = found.length === rows.length ? "" : ` of ${rows.length.toLocaleString("en")}`;
      const where = pages > 1 ? `, page ${page + 1} of ${pages}` : "";
      said.textContent = `${found.length.toLocaleString("en")}${of} shown${where}${note}`;
    };
    const filter = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      found = rows.filter((one) =>
        (!outcome.value || one.texts[OUTCOME] === outcome.value) &&
        wanted.every((word) => one.words.includes(word)));
      page = 0;
      show();
    };
    search.addEventListener("input", filter);
    outcome.addEventListener("change", filter);
    back.addEventListener("click", () => { page -= 1; show(); });
    next.addEventListener("click", () => { page += 1; show(); });
    const by = (one, at) => (at === CONNECT ? seconds(one.texts[at]) : one.texts[at]);
    sortable(table, rows, by, filter);
    back.hidden = next.hidden = rows.length <= PAGE;
    search.closest(".tools").hidden = false;
    show();
  };
  const table = document.getElementById("upstreams-table");
  if (table) upstreams(table);

  // A small screen begins at the path's first suspect, not at its left end.
  const suspect = document.querySelector(".path .c-convicted, .path .c-ambiguous");
  if (suspect) {
    const frame = suspect.closest(".scroll");
    const past = suspect.offsetLeft + suspect.offsetWidth - frame.clientWidth;
    if (past > 0) frame.scrollLeft = suspect.offsetLeft - frame.clientWidth / 2;
  }

  // Paper shows what is folded.
  const folded = [];
  addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll("details:not([open])"));
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.splice(0).forEach((one) => { one.open = false; }));

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
