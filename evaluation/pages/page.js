"use strict";
(() => {
  const announce = (words) => {
    document.getElementById("announcement").textContent = words;
  };

  // Sorting: a head of a sortable table becomes a button, so that the keyboard reaches it.
  const valueOf = (row, column, numeric) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    if (!numeric) return (value ?? cell.textContent).toLocaleLowerCase();
    return value === undefined ? NaN : Number(value);
  };
  const compare = (a, b, numeric) => {
    if (!numeric) return a.localeCompare(b, undefined, { numeric: true });
    return a - b;
  };
  const sort = (table, column, direction) => {
    const heads = [...table.tHead.rows[0].cells];
    const numeric = heads[column].dataset.sort === "number";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, column, numeric), row]);
    const sign = direction === "ascending" ? 1 : -1;
    rows.sort(([a], [b]) => {
      // What has no value comes last either way.
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * compare(a, b, numeric);
    });
    body.append(...rows.map(([, row]) => row));
    heads.forEach((head, k) => head.setAttribute("aria-sort", k === column ? direction : "none"));
    announce(`Sorted by ${heads[column].textContent}, ${direction}`);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        // Of numbers the greatest are asked for first, but of ranks the first.
        const first =
          head.dataset.sort === "number" && !head.hasAttribute("data-low") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        sort(table, column, now === first ? other : first);
      });
    });
  }

  // The theme: the system's until the reader chooses. A file may have no storage.
  const stored = (value) => {
    try {
      if (value !== undefined) localStorage.setItem("neupl-theme", value);
      return localStorage.getItem("neupl-theme");
    } catch {
      return null;
    }
  };
  const toggle = document.getElementById("theme");
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => {
    toggle.textContent = isDark() ? "Light theme" : "Dark theme";
  };
  const chosen = stored();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();

  // Paper cannot unfold: everything is open while printing.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((part) => (part.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)));
})();
