// Filters and sorts the table of models. Every word of the filter must occur in a row.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".model-table")) {
    const [filter, words, task, count, body] =
      [".model-filter", "input", "select", "output", "tbody"].map((selector) => box.querySelector(selector));
    const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase().replaceAll(/[-_]/g, " ") }));
    const heads = [...box.querySelectorAll("th")];
    filter.hidden = false;

    const show = () => {
      const wanted = words.value.toLowerCase().replaceAll(/[-_]/g, " ").split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { row, text } of rows) {
        const isTask = !task.value || row.cells[1].textContent === task.value;
        row.hidden = !isTask || !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = shown === 1 ? "1 model" : `${shown} models`;
    };

    const sort = (column) => {
      const isNumber = rows.some(({ row }) => row.cells[column].classList.contains("number"));
      const direction = heads[column].ariaSort === (isNumber ? "descending" : "ascending") ? -1 : 1;
      const value = ({ row }) => row.cells[column].textContent;
      const compare = isNumber
        ? (a, b) => (parseFloat(value(b)) || -1) - (parseFloat(value(a)) || -1)
        : (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
      rows.sort((a, b) => direction * compare(a, b));
      body.append(...rows.map(({ row }) => row));
      heads.forEach((head) => { head.ariaSort = "none"; });
      heads[column].ariaSort = isNumber === (direction === 1) ? "descending" : "ascending";
    };

    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
    words.addEventListener("input", show);
    task.addEventListener("change", show);
    words.value = decodeURIComponent(location.hash.startsWith("#q=") ? location.hash.slice(3) : "");
    show();
  }
});
