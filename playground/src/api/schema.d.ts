// Generated from the server's /openapi.json by `npm run types`; do not edit.

export interface paths {
    "/api/v3/media/upload/binary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Upload a picture in a form */
        post: operations["post-api-v3-media-upload-binary"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v3/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The models and their parameters */
        get: operations["get-api-v3-models"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v3/predictions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The tasks of this key, newest first */
        post: operations["post-api-v3-predictions"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v3/predictions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The task with its results
         * @description Another address of `/api/v3/predictions/{id}/result`.
         */
        get: operations["get-api-v3-predictions-id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v3/predictions/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a task
         * @description Takes effect within one step. An addition to the service's interface.
         */
        post: operations["post-api-v3-predictions-id-cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v3/predictions/delete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Delete tasks and their results
         * @description Running ones are stopped.
         */
        post: operations["post-api-v3-predictions-delete"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/loras": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The LoRAs that requests can name
         * @description They are the operator's: every key sees and uses all of them.
         */
        get: operations["get-loras"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The wrapper of every answer. */
        Envelope_Deleted: {
            /**
             * Format: int32
             * @description 200.
             */
            code: number;
            /** @description What was deleted. */
            data: {
                /**
                 * Format: int64
                 * @description How many of the ids there were.
                 */
                deleted_count: number;
            };
            /** @description `success`. */
            message: string;
        };
        /** @description The wrapper of every answer. */
        Envelope_Prediction: {
            /**
             * Format: int32
             * @description 200.
             */
            code: number;
            /** @description A task and, when it is completed, its results. */
            data: {
                /**
                 * Format: int32
                 * @description Category of the failure.
                 */
                code?: number | null;
                /** @description RFC 3339 with milliseconds, UTC. */
                created_at: string;
                /** @description Why it failed; empty otherwise. */
                error: string;
                /**
                 * Format: int64
                 * @description Milliseconds from start to end.
                 */
                executionTime: number;
                /**
                 * @description Whether each of the outputs was flagged, in their order; `false` also where the request went without a check. Empty
                 *     until completed, and when nobody could look: what was not checked is not called safe.
                 */
                has_nsfw_contents: boolean[];
                /** @description Id of the task. */
                id: string;
                /** @description What was sent; long pictures shortened. */
                input: unknown;
                /** @description Model id. */
                model: string;
                /** @description URLs of the results, or base64 when that was asked for; empty until completed. */
                outputs: string[];
                /** @description `created`, `processing`, `completed`, `failed` or `cancelled`. */
                status: string;
                /** @description Times. */
                timings: components["schemas"]["PredictionTimings"];
                /** @description Where to ask again. */
                urls: components["schemas"]["Urls"];
            };
            /** @description `success`. */
            message: string;
        };
        /** @description The wrapper of every answer. */
        Envelope_PredictionPage: {
            /**
             * Format: int32
             * @description 200.
             */
            code: number;
            /** @description One page of tasks, newest first. */
            data: {
                /** @description The page's tasks. */
                items: components["schemas"]["Prediction"][];
                /**
                 * Format: int32
                 * @description From 1.
                 */
                page: number;
                /**
                 * Format: int64
                 * @description Tasks on all pages together.
                 */
                total: number;
            };
            /** @description `success`. */
            message: string;
        };
        /** @description The wrapper of every answer. */
        Envelope_Uploaded: {
            /**
             * Format: int32
             * @description 200.
             */
            code: number;
            /** @description A stored file. */
            data: {
                /** @description Where to read it; usable as `image`. */
                download_url: string;
                /** @description As sent. */
                filename: string;
                /**
                 * Format: int64
                 * @description Bytes.
                 */
                size: number;
                /** @description `image`. */
                type: string;
            };
            /** @description `success`. */
            message: string;
        };
        /** @description The wrapper of every answer. */
        Envelope_Vec_CatalogueItem: {
            /**
             * Format: int32
             * @description 200.
             */
            code: number;
            data: {
                api_schema: unknown;
                /** Format: double */
                base_price: number;
                description: string;
                formula: string;
                model_id: string;
                name: string;
                sort_order: number;
                type: string;
            }[];
            /** @description `success`. */
            message: string;
        };
        /**
         * @description Body of every refused request.
         * @example {
         *       "code": 400,
         *       "message": "size: 99999x256 is out of range; expected WIDTH*HEIGHT with 256 to 1536 pixels per side, such as 1024*768"
         *     }
         */
        ErrorBody: {
            /**
             * Format: int32
             * @description The HTTP status.
             */
            code: number;
            /** @description The message once more, where the service documents a third key. */
            error?: string | null;
            /** @description The reason of a 403, for programs. */
            error_code?: string | null;
            /** @description The field, what is wrong with it, and what would be right. */
            message: string;
        };
        /** @description What requests for one set of models can name. */
        LoraNames: {
            /** @description Name of the set of models, as the status has it; `default` for the one without a name. */
            model: string;
            /** @description The names, in the order of the alphabet. */
            names: string[];
        };
        /** @description A task and, when it is completed, its results. */
        Prediction: {
            /**
             * Format: int32
             * @description Category of the failure.
             */
            code?: number | null;
            /** @description RFC 3339 with milliseconds, UTC. */
            created_at: string;
            /** @description Why it failed; empty otherwise. */
            error: string;
            /**
             * Format: int64
             * @description Milliseconds from start to end.
             */
            executionTime: number;
            /**
             * @description Whether each of the outputs was flagged, in their order; `false` also where the request went without a check. Empty
             *     until completed, and when nobody could look: what was not checked is not called safe.
             */
            has_nsfw_contents: boolean[];
            /** @description Id of the task. */
            id: string;
            /** @description What was sent; long pictures shortened. */
            input: unknown;
            /** @description Model id. */
            model: string;
            /** @description URLs of the results, or base64 when that was asked for; empty until completed. */
            outputs: string[];
            /** @description `created`, `processing`, `completed`, `failed` or `cancelled`. */
            status: string;
            /** @description Times. */
            timings: components["schemas"]["PredictionTimings"];
            /** @description Where to ask again. */
            urls: components["schemas"]["Urls"];
        };
        /** @description Times of a task. */
        PredictionTimings: {
            /**
             * Format: int64
             * @description Milliseconds the models took.
             */
            inference: number;
            /**
             * @description An addition: milliseconds of each stage, whether picture and prompt were known from an earlier task, the size of the
             *     first of two passes, and the LoRAs that were used.
             */
            stages?: unknown;
        };
        /** @description What ended on a day. */
        DayUsage: { cost: number; day: string; failures: number; jobs: number; pictures: number };
        EngineProcess: { checkers?: string[] | null; device: string; given_up: boolean; memory?: string | null; model: string; open: boolean; restarts: number };
        HostProcess: { devices: string[]; host: string; models: string[]; ready: number; role: string; seen_at: number; slots: number; version: string };
        KeyUsage: { days: components["schemas"]["DayUsage"][]; key: string; name: string };
        ModelLoad: { model: string; oldest_wait_s: number; running: number; waiting: number };
        OperatorStatus: { at: number; failures: components["schemas"]["RecentFailure"][]; queues: components["schemas"]["ModelLoad"][]; server: { engines: components["schemas"]["EngineProcess"][]; processes: components["schemas"]["HostProcess"][]; safety: { on_flag: string; required: boolean } }; usage: components["schemas"]["ServerUsage"] };
        RecentFailure: { dialect: string; finished_at: number; id: string; key: string; key_name: string; kind: string; message: string; model: string };
        ServerUsage: { keys: components["schemas"]["KeyUsage"][]; others: components["schemas"]["DayUsage"][]; since: string; until: string };
        /** @description The names that requests can give in `loras`. */
        ServerLoras: {
            /** @description Of each set of models that takes any. */
            loras: components["schemas"]["LoraNames"][];
        };
        /** @description Addresses of a task. */
        Urls: {
            /** @description The task's result. */
            get: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    "post-api-v3-media-upload-binary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Format: binary
                     * @description The picture.
                     */
                    file: string;
                };
            };
        };
        responses: {
            /** @description The stored file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Uploaded"];
                };
            };
        };
    };
    "get-api-v3-models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The catalogue */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Vec_CatalogueItem"];
                };
            };
        };
    };
    "post-api-v3-predictions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description RFC 3339. */
                    created_after?: string | null;
                    /** @description RFC 3339. */
                    created_before?: string | null;
                    /** @description Only this model. */
                    model?: string | null;
                    /**
                     * @description Page, from 1.
                     * @default 1
                     */
                    page?: number | null;
                    /**
                     * @description Tasks on a page.
                     * @default 20
                     */
                    page_size?: number | null;
                    /** @description Only this status. */
                    status?: string | null;
                };
            };
        };
        responses: {
            /** @description One page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_PredictionPage"];
                };
            };
        };
    };
    "get-api-v3-predictions-id": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id of the task */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The task */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Prediction"];
                };
            };
        };
    };
    "post-api-v3-predictions-id-cancel": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id of the task */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The task */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Prediction"];
                };
            };
        };
    };
    "post-api-v3-predictions-delete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    ids: string[];
                };
            };
        };
        responses: {
            /** @description How many there were */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Envelope_Deleted"];
                };
            };
        };
    };
    "get-loras": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The names, by set of models */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServerLoras"];
                };
            };
        };
    };
}
