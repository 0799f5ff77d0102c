// Unpacks the browser that the package brings, with its libraries and fonts, into the folder `browser` beside this file.
import { chmodSync, createReadStream, createWriteStream, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";
import { extract } from "tar-fs";

const here = dirname(fileURLToPath(import.meta.url));
const packed = join(here, "node_modules/@sparticuz/chromium/bin");
const target = join(here, "browser");
mkdirSync(target, { recursive: true });

for (const file of readdirSync(packed)) {
  const plain = basename(file, ".br");
  // Graphics libraries are looked for beside the program.
  const folder = plain.startsWith("swiftshader") ? target : join(target, basename(plain, ".tar"));
  const unpacked = plain.endsWith(".tar") ? extract(folder) : createWriteStream(join(target, plain));
  await pipeline(createReadStream(join(packed, file)), createBrotliDecompress(), unpacked);
}
chmodSync(join(target, "chromium"), 0o755);

// The package's own font configuration names folders of another machine.
writeFileSync(
  join(target, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>${join(target, "fonts")}</dir>
  <cachedir>${join(target, "fonts-cache")}</cachedir>
</fontconfig>
`,
);
