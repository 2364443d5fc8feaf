// kubernetes_schemas.mjs < OBJECTS: checks Kubernetes objects, a JSON array, against the API, as the npm packages
// kubernetes-models and @kubernetes-models/keda describe it; copied and run where they and typescript are installed.
// Prints what does not fit; exit status 1.
import {spawnSync} from 'node:child_process';
import {readFileSync, writeFileSync} from 'node:fs';

const objects = JSON.parse(readFileSync(0, 'utf8'));
const libraryOf = ({apiVersion}) =>
    `${apiVersion.startsWith('keda.sh/') ? '@kubernetes-models/keda' : 'kubernetes-models'}/${apiVersion}`;
let failed = false;

// The schemas know formats, enumerations and what is required, and let unknown fields pass.
for (const object of objects) {
  try {
    const Kind = (await import(libraryOf(object)))[object.kind];
    new Kind(object).validate();
  } catch (error) {
    failed = true;
    console.log(`${object.kind} ${object.metadata?.name}: ${error.message}`);
  }
}

// The types know all fields there are: in a literal, an unknown one is an error.
const lines = objects.map(
    (object, i) => `const o${i}: import('${libraryOf(object)}').I${object.kind} = ${JSON.stringify(object, null, 1)};`);
writeFileSync('objects.ts', 'export {};\n' + lines.join('\n'));
const types = spawnSync(
    'node_modules/.bin/tsc',
    ['--noEmit', '--skipLibCheck', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', '', 'objects.ts'],
    {encoding: 'utf8'});
if (types.status !== 0) {
  failed = true;
  console.log(types.stdout + types.stderr);
}
process.exit(failed ? 1 : 0);
