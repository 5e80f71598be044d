// The console is served below /console/ under a policy that allows external scripts of ours and nothing else: nothing may be
// written into the page itself.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  base: "/console/",
  plugins: [react()],
  build: { assetsInlineLimit: 0, modulePreload: false, target: "es2022", chunkSizeWarningLimit: 800, reportCompressedSize: false },
});
