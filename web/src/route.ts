// Addresses of the console: `/console/` and `/console/applications/{id}`. The browser's own history, and nothing remembered elsewhere.
import { useSyncExternalStore } from "react";

const CHANGED = "countersign:address";

function subscribe(heard: () => void): () => void {
  addEventListener("popstate", heard);
  addEventListener(CHANGED, heard);
  return () => {
    removeEventListener("popstate", heard);
    removeEventListener(CHANGED, heard);
  };
}

/** The address below `/console`, kept up to date. */
export function useAddress(): string {
  return useSyncExternalStore(subscribe, () => location.pathname.replace(/^\/console/, "") || "/");
}

/** Leads to another page of the console. */
export function go(address: string): void {
  history.pushState(null, "", `/console${address}`);
  dispatchEvent(new Event(CHANGED));
  scrollTo(0, 0);
}
