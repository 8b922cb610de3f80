/** Takes a photograph with the camera of a computer. */

import { useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import { Icon } from "./icons";
import { Dialog } from "./widgets";

interface CameraProps {
  onClose: () => void;
  onTaken: (photograph: Blob) => void;
}

type CameraState = "starting" | "ready" | "failed";

export function CameraDialog({ onClose, onTaken }: CameraProps) {
  const { camera } = texts.value;
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<CameraState>("starting");
  useEffect(() => startCamera(video, setState), []);
  const take = async () => {
    const photograph = video.current && (await frameOf(video.current));
    if (photograph) onTaken(photograph);
  };
  return (
    <Dialog title={camera.title} class="dialog-wide" onClose={onClose}>
      <div class="camera">
        <video ref={video} autoPlay playsInline muted aria-label={camera.video} hidden={state !== "ready"} />
        {state !== "ready" && <p role="status">{state === "failed" ? camera.failed : camera.starting}</p>}
      </div>
      <div class="dialog-buttons">
        <button type="button" class="button button-main" disabled={state !== "ready"} onClick={take}>
          <Icon name="camera" />
          {camera.take}
        </button>
      </div>
    </Dialog>
  );
}

/** Shows the camera in `video` until the function that it returns is called. */
function startCamera(video: { current: HTMLVideoElement | null }, tell: (state: CameraState) => void): () => void {
  let stream: MediaStream | null = null;
  let isOver = false;
  const stop = () => stream?.getTracks().forEach((track) => track.stop());
  navigator.mediaDevices
    .getUserMedia({ video: { width: { ideal: 1920 }, height: { ideal: 1080 } }, audio: false })
    .then(async (opened) => {
      stream = opened;
      if (isOver || !video.current) return stop();
      video.current.srcObject = opened;
      await video.current.play();
      tell("ready");
    })
    .catch(() => {
      if (!isOver) tell("failed");
    });
  return () => {
    isOver = true;
    stop();
  };
}

/** What the camera sees now, as a JPEG. */
function frameOf(video: HTMLVideoElement): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}
