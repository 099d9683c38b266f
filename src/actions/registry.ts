import type { ActionType } from '../compiler/action-type.ts'
import { broadcastAction } from './broadcast.ts'
import { emitAction } from './emit.ts'
import { httpAction } from './http.ts'
import { invokeAction } from './invoke.ts'
import type { ActionPorts } from './ports.ts'

/** Every action of the route language: a new one is one line here. */
export function actionTypes(ports: ActionPorts): readonly ActionType[] {
  return [broadcastAction(ports.broadcast), invokeAction(ports), emitAction(ports.emit), httpAction(ports.http)]
}
