/** The pictures that were added, with their order and, where the model mixes them, their weights. */

import { texts } from "../i18n";
import { equalWeight } from "../model/body";
import { find, type WeightsControl } from "../model/controls";
import { controls } from "../state/catalogue";
import type { InputPicture } from "../state/input-picture";
import { maskPurpose } from "../state/masks";
import { announce } from "../state/notices";
import { most, movePicture, pictures, removePicture, usedPictures } from "../state/pictures";
import { clearField } from "../state/problems";
import { ErrorText, ServersWords } from "./controls/field";
import { Icon } from "./icons";
import { paintedPicture } from "./mask-dialog";
import { IconButton, Picture } from "./widgets";

/** What masks are called in requests; errors about them are shown here. */
const MASK_FIELDS = ["image_masks", "mask_image"];

export function PictureList() {
  const all = pictures.value;
  const weights = find(controls.value, "weights");
  const areMixed = weights !== undefined && usedPictures.value.length > 1;
  const isAnyWeighted = all.some((picture) => picture.weight.value !== null);
  const { pictures: words } = texts.value;
  return (
    <div class="picture-list" data-field="image_weights">
      <ul class={all.length > 1 ? "pictures pictures-many" : "pictures"}>
        {all.map((picture, index) => (
          <PictureCard key={picture.id} picture={picture} index={index} weights={areMixed ? weights : undefined} />
        ))}
      </ul>
      {areMixed && (
        <p class="hint">
          {words.weightsExplanation}{" "}
          {isAnyWeighted && (
            <button
              type="button"
              class="text-button"
              onClick={() => {
                for (const picture of all) picture.weight.value = null;
                clearField("image_weights");
              }}
            >
              {words.equalWeights}
            </button>
          )}
        </p>
      )}
      <ErrorText id="weights-error" name="image_weights" />
      {MASK_FIELDS.map((name) => (
        <div key={name} data-field={name}>
          <ErrorText id={`${name}-error`} name={name} />
        </div>
      ))}
    </div>
  );
}

interface CardProps {
  picture: InputPicture;
  index: number;
  /** Undefined where weights mean nothing. */
  weights: WeightsControl | undefined;
}

function PictureCard({ picture, index, weights }: CardProps) {
  const { pictures: words } = texts.value;
  const isUsed = index < most.value;
  const unreadable = picture.unreadable.value;
  const isShown = picture.preview !== null && !picture.isBroken.value && unreadable === null;
  const takesMask = isUsed && maskPurpose.value !== null && isShown;
  const mask = takesMask ? picture.mask.value : null;
  return (
    <li class={isUsed ? "picture" : "picture picture-unused"} data-field={picture.field}>
      <div class="picture-frame">
        <Preview picture={picture} />
        {mask && <img class="picture-mask" src={mask.overlay} alt={words.maskOn(mask.percent)} draggable={false} />}
        <CardButtons picture={picture} index={index} />
        {picture.isUploading.value && <span class="badge">{words.uploading}</span>}
        {mask && !picture.isUploading.value && (
          <span class="badge" aria-hidden="true">
            {words.maskOn(mask.percent)}
          </span>
        )}
      </div>
      <p class="picture-name" title={picture.file ? picture.name : (picture.address.value ?? picture.name)}>
        {picture.name}
        {!isUsed && <span class="optional">{words.unused}</span>}
      </p>
      {unreadable !== null && (
        <p class="error-text picture-error">
          <Icon name="alert" />
          <span>
            {texts.value.run.unreadable}
            <ServersWords text={unreadable} />
          </span>
        </p>
      )}
      {takesMask && <MaskButtons picture={picture} hasMask={mask !== null} />}
      {weights && isUsed && <Weight picture={picture} control={weights} />}
    </li>
  );
}

/** The picture, or that the page cannot show it. */
function Preview({ picture }: { picture: InputPicture }) {
  const { preview, name } = picture;
  if (preview !== null && !picture.isBroken.value) {
    return (
      <Picture
        src={preview}
        alt={name}
        onRatio={(ratio) => {
          if (Number.isFinite(ratio) && ratio > 0) picture.ratio.value = ratio;
        }}
        onBroken={() => (picture.isBroken.value = true)}
      />
    );
  }
  const isUnreadable = picture.unreadable.value !== null;
  return (
    <span class="picture-gone">
      <Icon name={isUnreadable ? "alert" : preview === null ? "link" : "image"} />
      {!isUnreadable && <span>{texts.value.pictures.noPreview}</span>}
    </span>
  );
}

function CardButtons({ picture, index }: { picture: InputPicture; index: number }) {
  const { pictures: words } = texts.value;
  const last = pictures.value.length - 1;
  return (
    <div class="picture-buttons">
      {index > 0 && (
        <IconButton icon="back" label={words.earlier(picture.name)} onClick={() => movePicture(picture, -1)} />
      )}
      {index < last && (
        <IconButton icon="forward" label={words.later(picture.name)} onClick={() => movePicture(picture, 1)} />
      )}
      <IconButton icon="close" label={words.remove(picture.name)} onClick={() => removePicture(picture)} />
    </div>
  );
}

function MaskButtons({ picture, hasMask }: { picture: InputPicture; hasMask: boolean }) {
  const { pictures: words } = texts.value;
  const remove = () => {
    picture.mask.value = null;
    MASK_FIELDS.forEach(clearField);
    announce(words.maskRemoved(picture.name));
  };
  return (
    <div class="mask-buttons">
      <button
        type="button"
        class="button"
        aria-label={hasMask ? words.editMaskOf(picture.name) : words.maskOf(picture.name)}
        onClick={() => (paintedPicture.value = picture)}
      >
        <Icon name="brush" />
        {hasMask ? words.editMask : words.mask}
      </button>
      {hasMask && (
        <button type="button" class="button" aria-label={words.removeMaskOf(picture.name)} onClick={remove}>
          {words.removeMask}
        </button>
      )}
    </div>
  );
}

function Weight({ picture, control }: { picture: InputPicture; control: WeightsControl }) {
  const { pictures: words } = texts.value;
  return (
    <label class="weight">
      <span>{words.weight}</span>
      <input
        type="number"
        class="input number-input"
        aria-label={words.weightOf(picture.name)}
        min={control.minimum}
        max={control.maximum}
        step="any"
        value={picture.weight.value ?? equalWeight(usedPictures.value.length)}
        onChange={(event) => {
          const weight = event.currentTarget.valueAsNumber;
          picture.weight.value = Number.isNaN(weight) ? null : weight;
          clearField("image_weights");
        }}
      />
    </label>
  );
}
