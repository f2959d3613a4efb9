// Saves a table as a file.

/** The maximum of rows in a saved file. */
export const FILE_MAX = 10_000;

/**
 * Saves these columns of the rows as CSV for a spreadsheet: UTF-8 with its byte order mark, every
 * text quoted.
 */
export function saveCsv(name, columns, rows) {
  const lines = rows.map((row) => columns.map((column) => row[column]));
  const text = [columns, ...lines].map((line) => line.map(cell).join(",")).join("\r\n");
  const href = URL.createObjectURL(new Blob([`\ufeff${text}\r\n`], { type: "text/csv" }));
  const link = document.createElement("a");
  Object.assign(link, { href, download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  // A spreadsheet would execute a text that begins like a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
