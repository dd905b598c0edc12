// SPDX-License-Identifier: Apache-2.0
// The AWS SDK for JavaScript against a server: node drive.cjs FOLDER-WITH-NODE_MODULES NODE-ID; tells what it saw as JSON.
// Endpoint, keys and region come from the environment.

"use strict";

const { createRequire } = require("node:module");

const [, , folder, node] = process.argv;
const sdk = createRequire(`${folder}/`)("@aws-sdk/client-ssm");
const client = new sdk.SSMClient({ maxAttempts: 1 });
const seen = { operations: 0 };

async function ask(name, input = {}) {
  seen.operations += 1;
  return client.send(new sdk[`${name}Command`](input));
}

async function pages(paginate, input, member) {
  const found = [];
  for await (const page of paginate({ client, pageSize: 2 }, input)) found.push(page[member] ?? []);
  seen.operations += 1;
  return { pages: found.length, rows: found.flat() };
}

async function refusal(kind, name, input) {
  try {
    await ask(name, input);
  } catch (error) {
    return { mine: error instanceof sdk[kind], name: error.name, status: error.$metadata.httpStatusCode, text: error.message };
  }
  return null;
}

async function baselines() {
  const rule = { PatchFilterGroup: { PatchFilters: [{ Key: "PRIORITY", Values: ["Required"] }] }, ApproveAfterDays: 3 };
  const { BaselineId } = await ask("CreatePatchBaseline", {
    Name: "from-javascript",
    OperatingSystem: "DEBIAN",
    ApprovalRules: { PatchRules: [rule] },
    Tags: [{ Key: "Owner", Value: "web" }],
  });
  const baseline = await ask("GetPatchBaseline", { BaselineId });
  await ask("RegisterPatchBaselineForPatchGroup", { BaselineId, PatchGroup: "javascript" });
  const listed = await pages(sdk.paginateDescribePatchBaselines, {}, "BaselineIdentities");
  const groups = await pages(sdk.paginateDescribePatchGroups, {}, "Mappings");
  const resolved = await ask("GetPatchBaselineForPatchGroup", { PatchGroup: "javascript", OperatingSystem: "DEBIAN" });
  const used = await refusal("ResourceInUseException", "DeletePatchBaseline", { BaselineId });
  const unknown = await refusal("DoesNotExistException", "GetPatchBaseline", { BaselineId: "pb-00000000000000000" });
  const tags = await ask("ListTagsForResource", { ResourceType: "PatchBaseline", ResourceId: BaselineId });
  await ask("DeregisterPatchBaselineForPatchGroup", { BaselineId, PatchGroup: "javascript" });
  await ask("DeletePatchBaseline", { BaselineId });
  Object.assign(seen, {
    created: baseline.CreatedDate instanceof Date && Math.abs(Date.now() - baseline.CreatedDate) < 600_000,
    days: baseline.ApprovalRules.PatchRules[0].ApproveAfterDays,
    listed: listed.rows.length,
    listedPages: listed.pages,
    group: groups.rows.map((row) => row.PatchGroup),
    resolved: resolved.BaselineId === BaselineId,
    used,
    unknown,
    tags: tags.TagList,
  });
}

async function parameters() {
  for (const number of [1, 2, 3, 4, 5]) {
    await ask("PutParameter", { Name: `/javascript/${number}`, Type: "SecureString", Value: `value ${number}` });
  }
  const read = await pages(sdk.paginateGetParametersByPath, { Path: "/javascript", WithDecryption: true }, "Parameters");
  const missing = await refusal("ParameterNotFound", "GetParameter", { Name: "/javascript/6" });
  const exists = await refusal("ParameterAlreadyExists", "PutParameter", { Name: "/javascript/1", Type: "String", Value: "x" });
  await ask("DeleteParameters", { Names: read.rows.map((row) => row.Name) });
  Object.assign(seen, { values: read.rows.map((row) => row.Value).sort(), valuePages: read.pages, missing, exists });
}

async function nodes() {
  const { InstanceInformationList } = await ask("DescribeInstanceInformation");
  const states = await ask("DescribeInstancePatchStates", { InstanceIds: [node] });
  const patches = await pages(sdk.paginateDescribeInstancePatches, { InstanceId: node }, "Patches").catch((error) => error.name);
  Object.assign(seen, {
    nodes: InstanceInformationList.map((row) => row.InstanceId),
    pinged: InstanceInformationList.every((row) => row.LastPingDateTime instanceof Date),
    states: states.InstancePatchStates.map((row) => [row.Operation, row.MissingCount, row.OperationEndTime instanceof Date]),
    patches,
  });
}

async function main() {
  await baselines();
  await parameters();
  await nodes();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
