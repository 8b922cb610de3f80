/** What the server tells operators, by the names of its own description. */

import type { components } from "../api/schema";

type Schemas = components["schemas"];

export type OperatorStatus = Schemas["OperatorStatus"];
export type EngineProcess = Schemas["EngineProcess"];
export type HostProcess = Schemas["HostProcess"];
export type ModelLoad = Schemas["ModelLoad"];
export type RecentFailure = Schemas["RecentFailure"];
export type Usage = Schemas["ServerUsage"];
export type KeyUsage = Schemas["KeyUsage"];
export type DayUsage = Schemas["DayUsage"];
