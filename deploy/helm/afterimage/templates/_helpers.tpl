{{- define "afterimage.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change, for selectors. */}}
{{- define "afterimage.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "afterimage.labels" -}}
{{ include "afterimage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "afterimage.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "afterimage.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* How the database is reached; the password comes from a Secret, never as an argument. */}}
{{- define "afterimage.databaseEnv" -}}
{{- with .Values.database -}}
{{- if .urlKey }}
- name: AFTERIMAGE_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ required "database.urlKey needs database.existingSecret" .existingSecret }}, key: {{ .urlKey }}}}
{{- else }}
- name: AFTERIMAGE_DATABASE_URL
  value: {{ required "database.url or database.urlKey is needed" .url | quote }}
{{- end }}
{{- if .directUrlKey }}
- name: AFTERIMAGE_DATABASE_DIRECT_URL
  valueFrom: {secretKeyRef: {name: {{ required "database.directUrlKey needs database.existingSecret" .existingSecret }}, key: {{ .directUrlKey }}}}
{{- else if .directUrl }}
- name: AFTERIMAGE_DATABASE_DIRECT_URL
  value: {{ .directUrl | quote }}
{{- else if contains "pooler=transaction" .url }}
{{- fail "a URL with pooler=transaction needs database.directUrl, for LISTEN and migrations" }}
{{- end }}
{{- if and .existingSecret (not .urlKey) }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "afterimage.env" -}}
{{ include "afterimage.databaseEnv" . | trim }}
- name: AFTERIMAGE_STORAGE_URL
  value: {{ required "storage.url is needed" .Values.storage.url | quote }}
{{- with .Values.storage }}
{{- if .existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .accessKeyIdKey }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .secretAccessKeyKey }}}}
{{- end }}
{{- end }}
- name: AFTERIMAGE_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- with .Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: HOME
  value: /var/lib/afterimage
{{- end -}}

{{/* A pool with what it does not say itself: (list $ pool) gives YAML. */}}
{{- define "afterimage.pool" -}}
{{- $root := index . 0 -}}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.worker) (index . 1)) -}}
{{- end -}}

{{/* Jobs that a pod of the pool runs at once. */}}
{{- define "afterimage.slots" -}}
{{- mul .processes (max 1 (len .models)) -}}
{{- end -}}

{{/* Connections of one process with so many slots: a pool of 4 and one for every eight slots, and one that listens. */}}
{{- define "afterimage.connections" -}}
{{- add 5 (div (add . 7) 8) -}}
{{- end -}}

{{/* What a pod may write: the node's disk, gone with the pod. */}}
{{- define "afterimage.scratchMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /var/lib/afterimage}
{{- end -}}
{{- define "afterimage.scratchVolumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
- name: home
  emptyDir: {sizeLimit: 1Gi}
{{- end -}}
