// Reads field values, a JSON array of strings, from standard input; prints what npm's structured-headers (an RFC 9651 parser
// that knows nothing of us) makes of each: a list of [value, parameters], or null where it is no list. The argument is the
// folder that the package is installed in.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { parseList } = createRequire(`${process.argv[2]}/`)("structured-headers");

function read(text) {
  try {
    return parseList(text).map(([value, parameters]) => [value, Object.fromEntries(parameters)]);
  } catch {
    return null;
  }
}
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
