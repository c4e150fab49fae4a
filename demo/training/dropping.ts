/** Files dropped anywhere on the page; what lies under them shows that it would take them. */
export function watchDrops(take: (first: File, files: readonly File[]) => void): void {
  const dropping = (on: boolean) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    dropping(true);
  });
  addEventListener("dragleave", () => dropping(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    dropping(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files[0]) take(files[0], files);
  });
}
